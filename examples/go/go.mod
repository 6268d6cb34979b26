module libseed/examples/go

go 1.24

require libseed/bindings/go v0.0.0

replace libseed/bindings/go => ../../bindings/go

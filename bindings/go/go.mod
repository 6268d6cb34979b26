module libseed/bindings/go

go 1.24

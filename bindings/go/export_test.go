package seed

// OpenObjects is how many C objects were made and not freed yet.
func OpenObjects() int64 { return open.Load() }

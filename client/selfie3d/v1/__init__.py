"""The stubs of the API, generated from protos/selfie3d/v1 by `make protos`."""

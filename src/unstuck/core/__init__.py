"""The values that every layer speaks: dtypes, tensor specs, signatures, model specs, servables, version states."""

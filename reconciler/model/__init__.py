"""The values that everything else uses: resources, kinds, quantities, shapes, secrets, problems."""

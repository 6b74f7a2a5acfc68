"""`make faults`: the product's own processes under kills and faults, judged by what the providers took."""

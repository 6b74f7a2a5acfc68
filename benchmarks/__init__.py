"""`make bench`: what the product costs, beside its peers and its floor. The product never imports it."""

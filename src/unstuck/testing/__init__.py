"""What tests of models, servers and clients need; shipped, so that users can test their own deployments with it."""

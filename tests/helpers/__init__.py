"""What tests share: small data, tiny settings, checks that several modules have to pass."""

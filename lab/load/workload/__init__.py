"""What users do and when: traffic, arrivals, rates, users and their contacts and rooms."""

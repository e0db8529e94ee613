"""What a site decides: settings, rules, destinations."""

"""What secures a connection beside its SASL mechanism: TLS, pauses after refused logins, ways through proxies."""

"""What people write in TOML: read, checked, edited with their comments kept, read again.

Everything of one install lies in one folder (`folder`); secrets are references (`secrets`).
No watching, no connecting and no database word lives here. A new setting is a field in
`schema`, a line in `config/amxwatch.toml`, and, while nothing obeys it yet, a row of `unbuilt`.
"""

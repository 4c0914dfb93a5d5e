"""The running agent: wiring of the concrete parts, and the service loop over the flows.

`wiring` is the only place that names concrete back ends, stores and engines; `os_service` the
one that makes the operating system's service.
"""

import socket
from pathlib import Path

from orthanc_plugin.demo.local_orthanc import free_ports


def test_no_connection_that_goes_out_can_take_a_free_port_before_it_is_listened_at() -> None:
    lowest, _ = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    ports = free_ports(50)
    assert len(set(ports)) == 50
    assert max(ports) < lowest
    for port in ports:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", port))
            listener.listen()

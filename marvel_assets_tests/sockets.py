"""Where the processes that a test has started listen."""

import psutil

LOOPBACK = frozenset({"127.0.0.1", "::1", "::ffff:127.0.0.1"})


def listening() -> set[str]:
    """The hosts that descendants of this process listen on."""
    descendants = psutil.Process().children(recursive=True)
    return {
        connection.laddr.ip
        for process in descendants
        if process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }

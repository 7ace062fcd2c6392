"""Python reads this at its start (see PYTHONPATH in regtest.sh).

ElectrumX keeps each answer of less than a kibibyte for up to a second, so that an onlooker on the network
can't tell answers apart. Nobody looks on here, and a wallet that asks ten things in a row would make a test wait
ten seconds.
"""

try:
    from electrumx.server.transport import PaddedRSTransport
except ImportError:
    # Another Python program, or a version without it.
    pass
else:
    PaddedRSTransport.WAIT_FOR_BUFFER_GROWTH_SECONDS = 0

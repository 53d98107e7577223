"""Format-true deliveries around a generated ground: for tests of readers, geometry and batch.

``ground``: what every image shows, as a function of UTM metres; cameras with known RPC. ``maxar``:
folders of the Maxar family. ``packing``: archives. Everything is small and made in a second.
"""

"""The store by itself: its rules, its schemas, and the disks that power cuts leave."""

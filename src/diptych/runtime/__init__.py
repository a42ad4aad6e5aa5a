"""What runs: object loader, cache, thread pool, native calls, allocator."""

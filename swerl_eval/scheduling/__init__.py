"""What runs next: the order of instances, the queue of requests, the number of containers."""

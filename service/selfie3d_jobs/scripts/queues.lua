-- How the queues stand.
return {queue_state(QUEUES[1]), queue_state(QUEUES[2])}

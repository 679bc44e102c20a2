from selfie3d.threads import let_idle_threads_sleep

let_idle_threads_sleep()  # before a benchmark imports torch

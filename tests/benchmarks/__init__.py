from selfie3d.threads import give_numpy_one_thread, let_idle_threads_sleep

let_idle_threads_sleep()  # before a benchmark imports torch
give_numpy_one_thread()

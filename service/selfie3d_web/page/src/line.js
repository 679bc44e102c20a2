// Where a waiting job stands in the line. No event tells it: the line moves without the job.
import * as api from "./api.js";

const LOOK = 2000; // ms between two looks

/** Follows one job's place while it waits. `onPlace` gets the place, 1 for the next one. */
export class Line {
  #looks = 0; // looking is over for all but the newest

  constructor(id, onPlace) {
    this.id = id;
    this.onPlace = onPlace;
  }

  /** Looks again and again, until it is left or the job waits no longer. */
  async enter() {
    const mine = (this.#looks += 1);
    while (mine === this.#looks) {
      const job = await api.call("GET", `/v1/jobs/${this.id}`).catch(() => null); // the watch deals with what goes wrong
      if (mine !== this.#looks || (job && job.state !== "queued")) return;
      if (job?.queue_position) this.onPlace(job.queue_position);
      await new Promise((resolve) => setTimeout(resolve, LOOK));
    }
  }

  leave() {
    this.#looks += 1;
  }
}

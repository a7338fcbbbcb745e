// One write to the page per frame: whatever changed in between is written together.

const painters: ((now: number) => void)[] = [];
let requested = false;

/** What only follows the ticks is written at most this often, in milliseconds: nobody reads faster. */
export const WRITE_EVERY = 48;

/** Adds a function that writes what has changed to the page. It is called in each frame that was asked for. */
export function onPaint(painter: (now: number) => void): void {
  painters.push(painter);
}

/** Asks for a frame. */
export function paint(): void {
  if (requested) return;
  requested = true;
  requestAnimationFrame((now) => {
    requested = false;
    for (const painter of painters) painter(now);
  });
}

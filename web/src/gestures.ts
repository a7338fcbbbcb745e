// Wheel, drag and pinch on the chart.

export interface GestureActions {
  /** Moves the view by a share of its width; to the past when negative. */
  move(share: number): void;
  /** Zooms about a place: 0 is the left edge, 1 the right one. */
  zoom(factor: number, at: number): void;
  /** A place was double-clicked, in pixels from the left edge. */
  pick(left: number): void;
}

/** Zoom of a pixel of the wheel, as an exponent, and most pixels of one turn. */
const WHEEL = 0.002;
const MOST_PIXELS = 100;
const PIXELS_OF_LINE = 16;
/** Fingers closer than this, in pixels, do not zoom. */
const CLOSE = 8;

export function listenToGestures(area: HTMLElement, actions: GestureActions): void {
  const pointers = new Map<number, PointerEvent>();

  const wheel = (event: WheelEvent) => {
    event.preventDefault();
    const isSideways = event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY);
    const turned = (isSideways && event.deltaX) || event.deltaY;
    const pixels = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? turned * PIXELS_OF_LINE : turned;
    if (isSideways) return actions.move(pixels / area.clientWidth);
    const limited = Math.max(-MOST_PIXELS, Math.min(MOST_PIXELS, pixels));
    actions.zoom(Math.exp(limited * WHEEL), event.offsetX / area.clientWidth);
  };

  const moved = (event: PointerEvent) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const width = area.clientWidth;
    const share = (before.clientX - event.clientX) / width;
    const other = [...pointers.values()].find(({ pointerId }) => pointerId !== event.pointerId);
    if (other) {
      const [was, is] = [Math.abs(before.clientX - other.clientX), Math.abs(event.clientX - other.clientX)];
      const middle = (event.clientX + other.clientX) / 2 - area.getBoundingClientRect().left;
      if (was > CLOSE && is > CLOSE) actions.zoom(was / is, middle / width);
      actions.move(share / 2);
    } else {
      actions.move(share);
    }
    pointers.set(event.pointerId, event);
  };

  const released = (event: PointerEvent) => {
    pointers.delete(event.pointerId);
    if (pointers.size === 0) area.classList.remove("is-dragged");
  };

  area.addEventListener("wheel", wheel, { passive: false });
  area.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    area.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, event);
    area.classList.add("is-dragged");
  });
  area.addEventListener("pointermove", moved);
  area.addEventListener("pointerup", released);
  area.addEventListener("pointercancel", released);
  area.addEventListener("dblclick", (event) => actions.pick(event.offsetX));
}

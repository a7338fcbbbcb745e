// The keyboard.

export interface KeyActions {
  search(): void;
  help(): void;
  toggle(): void;
  step(count: 1 | -1): void;
  live(): void;
  changeSpeed(steps: 1 | -1): void;
  zoom(factor: number): void;
  move(share: number): void;
  follow(): void;
  selectNext(count: 1 | -1): void;
  removeSelected(): void;
}

export function listenToKeys(actions: KeyActions): void {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (document.querySelector("dialog[open]") || isTyping(event.target)) return;
    const isButton = event.target instanceof HTMLElement && event.target.closest("button, summary") !== null;
    // Space presses the button that has the focus; in the list it plays, since Enter selects there.
    if (event.key === " " && isButton && !(event.target as HTMLElement).closest("#list")) return;
    if (act(actions, event)) event.preventDefault();
  });
}

function act(actions: KeyActions, event: KeyboardEvent): boolean {
  const isSlider = event.target instanceof HTMLInputElement && event.target.type === "range";
  switch (event.key) {
    case "/": actions.search(); break;
    case "?": actions.help(); break;
    case " ": actions.toggle(); break;
    case "[": actions.step(-1); break;
    case "]": actions.step(1); break;
    case "l": case "L": actions.live(); break;
    case "<": actions.changeSpeed(-1); break;
    case ">": actions.changeSpeed(1); break;
    case "+": case "=": actions.zoom(0.8); break;
    case "-": case "_": actions.zoom(1 / 0.8); break;
    default:
      // The slider has its own arrows.
      return !isSlider && actWithArrows(actions, event);
  }
  return true;
}

function actWithArrows(actions: KeyActions, event: KeyboardEvent): boolean {
  const share = event.shiftKey ? 0.9 : 0.1;
  switch (event.key) {
    case "ArrowLeft": actions.move(-share); break;
    case "ArrowRight": actions.move(share); break;
    case "ArrowUp": actions.selectNext(-1); break;
    case "ArrowDown": actions.selectNext(1); break;
    case "End": actions.follow(); break;
    case "Delete": actions.removeSelected(); break;
    default: return false;
  }
  return true;
}

function isTyping(target: EventTarget | null): boolean {
  if (target instanceof HTMLSelectElement || target instanceof HTMLTextAreaElement) return true;
  return target instanceof HTMLInputElement && target.type !== "range";
}

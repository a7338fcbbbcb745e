// The token of a server that demands one. It is kept for this tab, and only for the servers it was entered for: a link
// that names others must not make the board send it to them.

const KEY = "ticker.token";

interface Kept {
  endpoints: string[];
  token: string;
}

export function keptToken(endpoints: readonly string[]): string | undefined {
  try {
    const kept = JSON.parse(sessionStorage.getItem(KEY) ?? "null") as Kept | null;
    const covered = kept && endpoints.every((endpoint) => kept.endpoints.includes(endpoint));
    return covered ? kept.token : undefined;
  } catch {
    return undefined;
  }
}

export function keepToken(endpoints: readonly string[], token: string): void {
  try {
    sessionStorage.setItem(KEY, JSON.stringify({ endpoints, token }));
  } catch {
    // Without storage the token lasts as long as the page.
  }
}

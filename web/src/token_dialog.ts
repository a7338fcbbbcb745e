// Asks for the token of a server that demands one.

import { byId, setText } from "./dom";

export class TokenDialog {
  /** A token was asked for and not given. */
  isAsked = false;

  private readonly dialog = byId<HTMLDialogElement>("token");
  private readonly input = byId<HTMLInputElement>("token-input");

  constructor(
    private readonly endpoints: readonly string[],
    onToken: (token: string) => void,
  ) {
    byId("token-form").addEventListener("submit", () => {
      const token = this.input.value.trim().replace(/^Bearer\s+/i, "");
      this.input.value = "";
      if (token === "") return;
      this.isAsked = false;
      onToken(token);
    });
    byId("token-cancel").addEventListener("click", () => this.dialog.close());
  }

  ask(message: string): void {
    this.isAsked = true;
    setText(byId("token-message"), message);
    setText(byId("token-endpoints"), this.endpoints.join(", "));
    if (this.dialog.open) return;
    this.dialog.showModal();
    this.input.focus();
  }
}

// An address that leads nowhere.

import { h } from "./dom.js";
import { empty, heading } from "./parts.js";

export const unknown = {
  title: () => "Not found",
  addresses: () => ({ overview: "overview" }),
  render: () => [heading("Nothing is here"), empty(h("p", null, "This address leads to no view. "), h("p", null, h("a", { href: "/" }, "To the overview")))],
};

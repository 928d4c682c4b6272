// Has the official AsyncAPI parser read the document on standard input; prints what it says of it as one JSON list.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const { document, diagnostics } = await new Parser().parse(readFileSync(0, "utf8"));
const levels = ["error", "warning", "information", "hint"];
const told = diagnostics.map(({ code, message, severity, path }) => ({
  level: levels[severity], code, message, path: path.join("."),
}));
const messages = document ? document.allMessages().all().length : 0;
const channels = document ? document.allChannels().all().length : 0;
process.stdout.write(JSON.stringify({ accepted: Boolean(document), channels, messages, diagnostics: told }));

import "htmx.org";
import "./common.js";
import "./passkeys.js";

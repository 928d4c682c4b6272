import "htmx.org";
import "./common.js";
import "./freshness.js";
import "./passkeys.js";

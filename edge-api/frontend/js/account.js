import "htmx.org";
import "./common.js";

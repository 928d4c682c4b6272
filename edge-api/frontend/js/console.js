console.debug("console");

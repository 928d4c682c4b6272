console.debug("account");

"""The prog command, the embedded servers, the supervisor and the migrations runner."""

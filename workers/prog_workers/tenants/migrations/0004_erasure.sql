-- An invitation that names a person who is erased, by address or as the inviter, is found whichever tenant's it is, in a
-- transaction that says whom it erases.
CREATE POLICY erasure_reads ON tenants.invitations FOR SELECT TO prog_tenants
    USING ((SELECT bus.erased_person()) IS NOT NULL);
CREATE POLICY erasure_changes ON tenants.invitations FOR UPDATE TO prog_tenants
    USING ((SELECT bus.erased_person()) IS NOT NULL) WITH CHECK ((SELECT bus.erased_person()) IS NOT NULL);

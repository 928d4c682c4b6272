"""What a person is called, prefers, and is shown by."""

from __future__ import annotations

from dataclasses import replace

from prog_broker.outcome import Outcome, Reply
from prog_broker.transaction import Transaction
from prog_contracts.profiles import RemoveAvatar, SetAvatar, UpdateProfile
from prog_contracts.users import UserUpdated
from prog_kit.secrets import PICTURE
from prog_workers.users import errors, store
from prog_workers.users.handlers.domain import open_sealed, own_account, require_self, users
from prog_workers.users.rules import profiles as rules


@users.handles(UpdateProfile)
async def update_profile(command: UpdateProfile, tx: Transaction) -> Outcome:
    await require_self(tx, command.user_id)
    user = await store.user_by_id(tx, command.user_id)
    if user is None:
        raise errors.user_not_found()
    before = await store.profile_of(tx, user.user_id)
    return await _became(tx, user, before, rules.changed_profile(before, command))


@users.handles(SetAvatar)
async def set_avatar(command: SetAvatar, tx: Transaction) -> Outcome:
    """Keeps the picture in place of the one from before. Nobody chooses what somebody else is shown by."""
    user = await own_account(tx, command.user_id)
    avatar_id, content = rules.checked_picture(open_sealed(tx, command.sealed_picture, PICTURE, "image"))
    before = await store.profile_of(tx, user.user_id)
    await store.put_avatar(tx, user.user_id, avatar_id, content)
    return await _became(tx, user, before, replace(before, avatar_id=avatar_id))


@users.handles(RemoveAvatar)
async def remove_avatar(command: RemoveAvatar, tx: Transaction) -> Outcome:
    """Operators may, too: a picture can be one that nobody wants to see."""
    await require_self(tx, command.user_id)
    user = await store.user_by_id(tx, command.user_id)
    if user is None:
        raise errors.user_not_found()
    before = await store.profile_of(tx, user.user_id)
    await store.drop_avatar(tx, user.user_id)
    return await _became(tx, user, before, replace(before, avatar_id=None))


async def _became(tx: Transaction, user: store.User, before: rules.Profile, now: rules.Profile) -> Outcome:
    """Keeps the profile and tells of it; one that is what it was is told to whoever asked alone."""
    updated = UserUpdated(
        user_id=user.user_id,
        email=user.email,
        name=now.name,
        email_verified=user.email_verified_at is not None,
        changed=before.changed(now),
        locale=now.locale,
        time_zone=now.time_zone,
        theme=now.theme,
        avatar_id=now.avatar_id,
    )
    if not updated.changed:
        return Reply(updated)
    await store.keep_profile(tx, user.user_id, now)
    return updated

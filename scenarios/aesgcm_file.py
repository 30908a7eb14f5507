from lab import Federation, expect, scenario, step


@scenario(spec="XEP-0454, XEP-0363")
async def aesgcm_file(federation: Federation) -> None:
    """An encrypted file: its host has ciphertext, a size and an address; the key is in the encrypted message alone."""
    a, b = federation.linked_pair()
    alice, bob = await a.person("alice", encryption="omemo"), await b.person("bob", encryption="omemo")
    letter = f"Dear Bob, {federation.secret()}. Yours, Alice".encode()
    with step("alice's device encrypts a letter, uploads it to her server, and writes its address and key to bob"):
        url = await alice.device.upload(letter, name="letter.txt", encrypted=True)
        message = await alice.send(bob, url)
        expect(await message.read_by(bob.device), {bob.device: url})
    with step("bob's device fetches it from alice's server, and decrypts it"):
        expect(await bob.device.fetch(url) == letter, True)
    with step(
        "who has the address alone gets ciphertext, 16 bytes longer than the letter, under a name that says nothing"
    ):
        address = url.partition("#")[0].replace("aesgcm://", "https://")
        found = await bob.device.fetch(address)
        expect((len(found), b"Dear Bob" in found), (len(letter) + 16, False))
        expect("letter" in address, False)

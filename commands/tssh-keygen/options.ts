import type { CommandLineSyntax } from '../../src/command/options.ts'

/** Every flag of ssh-keygen, with what `--help` says of it. */
export const syntax: CommandLineSyntax = {
  program: 'tssh-keygen',
  synopsis: `[-q] [-a rounds] [-b bits] [-C comment] [-f output_keyfile]
                   [-m format] [-N new_passphrase] [-O option]
                   [-t dsa|ecdsa|ed25519|ed448|mldsa44-ed25519|rsa] [-Z cipher]
       tssh-keygen -p [-a rounds] [-f keyfile] [-m format] [-N new_passphrase]
                   [-P old_passphrase] [-Z cipher]
       tssh-keygen -i [-f input_keyfile] [-m key_format]
       tssh-keygen -e [-f input_keyfile] [-m key_format]
       tssh-keygen -y [-f input_keyfile]
       tssh-keygen -c [-a rounds] [-C comment] [-f keyfile] [-P passphrase]
       tssh-keygen -l [-v] [-E fingerprint_hash] [-f input_keyfile]
       tssh-keygen -B [-f input_keyfile]
       tssh-keygen -F hostname [-lv] [-f known_hosts_file]
       tssh-keygen -H [-f known_hosts_file]
       tssh-keygen -R hostname [-f known_hosts_file]
       tssh-keygen -r hostname [-g] [-f input_keyfile] [-O option]
       tssh-keygen -M generate [-O option] output_file
       tssh-keygen -M screen [-f input_file] [-O option] output_file
       tssh-keygen -I certificate_identity -s ca_key [-hU] [-n principals]
                   [-O option] [-V validity_interval] [-z serial_number] file ...
       tssh-keygen -L [-f input_keyfile]
       tssh-keygen -A [-a rounds] [-f prefix_path]
       tssh-keygen -k -f krl_file [-u] [-s ca_public] [-z version_number] file ...
       tssh-keygen -Q [-l] -f krl_file [file ...]
       tssh-keygen -Y find-principals -s signature_file -f allowed_signers_file
       tssh-keygen -Y match-principals -I signer_identity -f allowed_signers_file
       tssh-keygen -Y check-novalidate -n namespace -s signature_file
       tssh-keygen -Y sign -f key_file -n namespace file [-O option] ...
       tssh-keygen -Y verify -f allowed_signers_file -I signer_identity
                   -n namespace -s signature_file [-r krl_file] [-O option]`,
  description: 'Makes, converts and certifies keys, and looks after files that hold them.',
  usageStatus: 1,
  flags: [
    { name: 'A', description: 'make the host keys that are missing' },
    { name: 'a', argument: 'rounds', description: 'rounds of bcrypt for a passphrase (24)' },
    { name: 'B', description: 'print a digest in syllables' },
    { name: 'b', argument: 'bits', description: 'size of the key: RSA 3072, ECDSA 256, 384 or 521' },
    { name: 'C', argument: 'comment', description: 'comment of the key' },
    { name: 'c', description: 'change the comment of a private key' },
    { name: 'D', argument: 'library', description: 'keys of a PKCS#11 token (refused: there is no provider)' },
    { name: 'E', argument: 'hash', description: 'hash of fingerprints: sha256, md5, sha1, sha384 or sha512' },
    { name: 'e', description: 'write a public key in another format (-m)' },
    { name: 'F', argument: 'host', description: 'find a host in known_hosts' },
    { name: 'f', argument: 'file', description: 'the file to work on' },
    { name: 'g', description: 'generic form of DNS records (-r)' },
    { name: 'H', description: 'hash the names in known_hosts' },
    { name: 'h', description: 'certify a host key' },
    { name: 'I', argument: 'identity', description: "a certificate's or signer's identity" },
    { name: 'i', description: 'read a key of another format (-m)' },
    { name: 'K', description: 'download keys of a security key (refused: there is no provider)' },
    { name: 'k', description: 'write a key revocation list' },
    { name: 'L', description: 'show certificates' },
    { name: 'l', description: 'show fingerprints' },
    { name: 'M', argument: 'generate|screen', description: 'moduli for Diffie-Hellman group exchange' },
    { name: 'm', argument: 'format', description: 'RFC4716, PKCS8, PEM or PPK' },
    { name: 'N', argument: 'passphrase', description: 'the new passphrase' },
    { name: 'n', argument: 'principals', description: "a certificate's principals; a signature's namespace" },
    { name: 'O', argument: 'option', description: 'an option of the operation; may be repeated' },
    { name: 'o', description: "nothing: OpenSSH's own format is the default" },
    { name: 'P', argument: 'passphrase', description: 'the old passphrase' },
    { name: 'p', description: 'change the passphrase of a private key' },
    { name: 'Q', description: 'look keys up in a key revocation list' },
    { name: 'q', description: 'be quiet' },
    { name: 'R', argument: 'host', description: 'remove a host from known_hosts' },
    { name: 'r', argument: 'host', description: 'print SSHFP records; with -Y verify, a file of revoked keys' },
    { name: 's', argument: 'file', description: 'the authority that signs; with -Y, the signature' },
    { name: 't', argument: 'type', description: 'type of the key, or of an RSA signature' },
    { name: 'U', description: "the authority's key is in the agent" },
    { name: 'u', description: 'add to a key revocation list' },
    { name: 'V', argument: 'interval', description: 'when a certificate is valid' },
    { name: 'v', description: 'say more; up to three times' },
    { name: 'w', argument: 'library', description: 'provider of security keys (refused: there is none)' },
    { name: 'X', description: 'the same as -i' },
    { name: 'Y', argument: 'operation', description: 'sign and verify files' },
    { name: 'y', description: 'print the public half of a private key' },
    { name: 'Z', argument: 'cipher', description: 'cipher of a private key file (aes256-ctr)' },
    { name: 'z', argument: 'number', description: "a certificate's serial number; a revocation list's version" },
  ],
}

import { loadLibrary } from './ffi.ts'

type Crypt = (phrase: string, setting: string) => string | null

let crypt: Crypt | undefined

/**
 * crypt(3): the hash of a password under the method and salt of `setting` (a whole hash will do). Undefined when the
 * method is unknown or the setting malformed. Takes as long as the method wants.
 * @throws NativeError when the library cannot be called
 */
export function cryptPassword(password: string, setting: string): string | undefined {
  crypt ??= loadLibrary('libcrypt.so.1', 'libcrypt.so.2', 'libcrypt.so').func(
    'const char *crypt(const char *phrase, const char *setting)',
  ) as unknown as Crypt
  const hash = crypt(password, setting)
  // A failure is NULL or a text that begins with a star, which no hash does.
  return hash === null || hash.startsWith('*') ? undefined : hash
}

/** Watches a copy, and may hold it back. */
export interface Meter {
  /** A file of `size` bytes is about to be copied. */
  begin(path: string, size: number): FileProgress
  /** Resolves when so many more bytes may go; undefined: now. */
  throttle(bytes: number): Promise<void> | undefined
}

export interface FileProgress {
  /** So many more bytes went. */
  advance(bytes: number): void
  end(): void
}

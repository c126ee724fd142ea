// Which sources a library was built from: compared when it is loaded.
#include "export.h"

TOKENNET_EXPORT const char* tokennet_digest() { return TOKENNET_DIGEST; }

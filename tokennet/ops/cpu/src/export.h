// What Python may call: plain C functions over pointers, independent of torch's version.
#pragma once

#define TOKENNET_EXPORT extern "C" __attribute__((visibility("default")))

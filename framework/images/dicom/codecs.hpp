// Sets up DCMTK once for the whole program: decoders of compressed pixels, and no log lines of its own.
#pragma once

namespace hearth::images {

/// Registers the JPEG, JPEG-LS and RLE decoders. Safe from several threads; does its work at the first call.
void prepare_dcmtk();

}  // namespace hearth::images

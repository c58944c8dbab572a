#include "images/dicom/codecs.hpp"

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dcobject.h>
#include <dcmtk/dcmdata/dcrledrg.h>
#include <dcmtk/dcmjpeg/djdecode.h>
#include <dcmtk/dcmjpls/djdecode.h>
#include <dcmtk/oflog/oflog.h>

namespace hearth::images {

void prepare_dcmtk() {
    static const bool ready = [] {
        OFLog::configure(OFLogger::OFF_LOG_LEVEL);  // what is wrong is said by our own errors
        dcmEnableUnknownVRConversion.set(OFTrue);   // pixels that a writer called UN are pixels
        DJDecoderRegistration::registerCodecs();
        DJLSDecoderRegistration::registerCodecs();
        DcmRLEDecoderRegistration::registerCodecs();
        return true;
    }();
    static_cast<void>(ready);
}

}  // namespace hearth::images

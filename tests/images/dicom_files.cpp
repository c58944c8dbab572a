#include "images/dicom_files.hpp"

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dcpixel.h>
#include <dcmtk/dcmdata/dcpixseq.h>
#include <dcmtk/dcmdata/dcpxitem.h>
#include <dcmtk/dcmdata/dcrleerg.h>
#include <dcmtk/dcmdata/dctk.h>
#include <dcmtk/dcmjpeg/djencode.h>
#include <dcmtk/dcmjpeg/djrplol.h>
#include <dcmtk/dcmjpeg/djrploss.h>
#include <dcmtk/dcmjpls/djencode.h>

#include <stdexcept>

namespace hearth::test {
namespace {

void register_encoders() {
    static const bool done = [] {
        DJEncoderRegistration::registerCodecs();
        DJLSEncoderRegistration::registerCodecs();
        DcmRLEEncoderRegistration::registerCodecs();
        return true;
    }();
    static_cast<void>(done);
}

E_TransferSyntax transfer_syntax(Syntax syntax) {
    switch (syntax) {
        case Syntax::implicit_little:
            return EXS_LittleEndianImplicit;
        case Syntax::explicit_little:
            return EXS_LittleEndianExplicit;
        case Syntax::explicit_big:
            return EXS_BigEndianExplicit;
        case Syntax::deflated:
            return EXS_DeflatedLittleEndianExplicit;
        case Syntax::jpeg_baseline:
            return EXS_JPEGProcess1;
        case Syntax::jpeg_lossless:
            return EXS_JPEGProcess14SV1;
        case Syntax::jpeg_ls:
            return EXS_JPEGLSLossless;
        case Syntax::rle:
            return EXS_RLELossless;
        case Syntax::jpeg_2000:
            return EXS_JPEG2000LosslessOnly;
    }
    throw std::runtime_error("no such transfer syntax");
}

void put(DcmDataset& dataset, const DcmTagKey& tag, const std::string& value) {
    if (!value.empty()) dataset.putAndInsertString(tag, value.c_str());
}

void put_pixels(DcmDataset& dataset, const DicomFile& file) {
    const cv::Mat& pixels = file.pixels;
    const bool wide = pixels.elemSize1() == 2;
    const int allocated = wide ? 16 : 8, stored = file.bits_stored == 0 ? allocated : file.bits_stored;
    const auto number = [&](const DcmTagKey& tag, int value) {
        dataset.putAndInsertUint16(tag, static_cast<Uint16>(value));
    };
    number(DCM_Rows, pixels.rows);
    number(DCM_Columns, pixels.cols);
    number(DCM_SamplesPerPixel, pixels.channels());
    number(DCM_BitsAllocated, allocated);
    number(DCM_BitsStored, stored);
    number(DCM_HighBit, file.high_bit < 0 ? stored - 1 : file.high_bit);
    number(DCM_PixelRepresentation, pixels.depth() == CV_16S ? 1 : 0);
    if (pixels.channels() == 3) number(DCM_PlanarConfiguration, 0);
    const auto count =
        static_cast<unsigned long>(pixels.total()) * static_cast<unsigned long>(pixels.channels());
    wide ? dataset.putAndInsertUint16Array(DCM_PixelData, reinterpret_cast<const Uint16*>(pixels.data), count)
         : dataset.putAndInsertUint8Array(DCM_PixelData, pixels.data, count);
}

void put_codestream(DcmDataset& dataset, const DicomFile& file) {
    auto* sequence = new DcmPixelSequence(DcmTag(DCM_PixelData, EVR_OB));
    sequence->insert(new DcmPixelItem(DcmTag(DCM_Item, EVR_OB)));  // the offset table, empty
    DcmOffsetList offsets;
    auto bytes = file.codestream;  // DCMTK wants to write to it
    sequence->storeCompressedFrame(offsets, reinterpret_cast<Uint8*>(bytes.data()),
                                   static_cast<Uint32>(bytes.size()), 0);
    auto* pixels = new DcmPixelData(DcmTag(DCM_PixelData, EVR_OB));
    pixels->putOriginalRepresentation(transfer_syntax(file.syntax), nullptr, sequence);
    dataset.insert(pixels, true);
}

void compress(DcmDataset& dataset, Syntax syntax) {
    register_encoders();
    const DJ_RPLossy lossy(95);
    const DJ_RPLossless lossless;
    const DcmRepresentationParameter* parameter = nullptr;
    if (syntax == Syntax::jpeg_baseline) parameter = &lossy;
    if (syntax == Syntax::jpeg_lossless) parameter = &lossless;
    const OFCondition status = dataset.chooseRepresentation(transfer_syntax(syntax), parameter);
    if (status.bad()) throw std::runtime_error(status.text());
}

}  // namespace

std::filesystem::path write_dicom(const std::filesystem::path& path, const DicomFile& file) {
    std::filesystem::create_directories(path.parent_path());
    DcmFileFormat made;
    DcmDataset& dataset = *made.getDataset();
    char uid[100];
    put(dataset, DCM_SOPClassUID, UID_DigitalXRayImageStorageForPresentation);
    put(dataset, DCM_SOPInstanceUID, dcmGenerateUniqueIdentifier(uid));
    put(dataset, DCM_PhotometricInterpretation, file.photometric);
    put(dataset, DCM_RescaleSlope, file.slope);
    put(dataset, DCM_RescaleIntercept, file.intercept);
    put(dataset, DCM_WindowCenter, file.center);
    put(dataset, DCM_WindowWidth, file.width);
    put(dataset, DCM_VOILUTFunction, file.function);
    put(dataset, DCM_PatientID, file.patient);
    put(dataset, DCM_ViewPosition, file.view);
    put(dataset, DCM_PatientSex, file.sex);
    put(dataset, DCM_PatientAge, file.age);
    put_pixels(dataset, file);
    if (file.change) file.change(dataset);
    if (!file.codestream.empty())
        put_codestream(dataset, file);
    else if (DcmXfer(transfer_syntax(file.syntax)).isEncapsulated())
        compress(dataset, file.syntax);
    const OFCondition status = made.saveFile(path.c_str(), transfer_syntax(file.syntax));
    if (status.bad()) throw std::runtime_error(path.string() + ": " + status.text());
    return path;
}

void add_lut(DcmDataset& dataset, const std::string& sequence, int first, int bits,
             const std::vector<std::uint16_t>& entries) {
    DcmItem* item = nullptr;
    dataset.findOrCreateSequenceItem(sequence == "voi" ? DCM_VOILUTSequence : DCM_ModalityLUTSequence, item,
                                     -2);
    const std::vector<Uint16> descriptor = {static_cast<Uint16>(entries.size()), static_cast<Uint16>(first),
                                            static_cast<Uint16>(bits)};
    item->putAndInsertUint16Array(DcmTag(DCM_LUTDescriptor, EVR_US), descriptor.data(), 3);
    item->putAndInsertUint16Array(DcmTag(DCM_LUTData, EVR_US), entries.data(),
                                  static_cast<unsigned long>(entries.size()));
}

}  // namespace hearth::test

//! PCRs and quotes over them.

use std::collections::BTreeMap;

use tpm2::PcrSelection;
use tpm2::command::{PcrExtend, PcrRead, Quote, Quoted};

use crate::error::TpmError;
use crate::slots::LoadedKey;
use crate::tpm::{EMPTY, Tpm};

impl Tpm {
    /// Extends a PCR of the SHA-256 bank.
    pub fn extend(&mut self, pcr: u8, digest: &[u8; 32]) -> Result<(), TpmError> {
        self.execute(&PcrExtend { pcr, digest }, &mut [EMPTY])
    }

    /// The values of PCRs of the SHA-256 bank; the TPM gives eight at a time.
    pub fn read_pcrs(&mut self, pcrs: &[u8]) -> Result<BTreeMap<u8, [u8; 32]>, TpmError> {
        let mut values = BTreeMap::new();
        let mut wanted = pcrs.to_vec();
        while let Some(&first) = wanted.first() {
            let read = self.execute(&PcrRead(&PcrSelection::sha256(&wanted)?), &mut [])?;
            let given = read.selection.sha256_pcrs().ok_or(TpmError::NoSuchPcr(first))?;
            if given.is_empty()
                || given.len() != read.values.len()
                || !given.iter().all(|pcr| wanted.contains(pcr))
            {
                return Err(TpmError::NoSuchPcr(first));
            }
            for (pcr, value) in given.iter().zip(read.values) {
                values.insert(*pcr, value.try_into().map_err(|_| TpmError::NoSuchPcr(*pcr))?);
            }
            wanted.retain(|pcr| !given.contains(pcr));
        }
        Ok(values)
    }

    /// A quote over the selected PCRs.
    pub fn quote(
        &mut self,
        key: &LoadedKey,
        extra_data: &[u8],
        selection: &PcrSelection,
    ) -> Result<Quoted, TpmError> {
        let [key] = self.entities([key])?;
        self.execute(&Quote { key, extra_data, selection }, &mut [EMPTY])
    }
}
